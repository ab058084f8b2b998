import { PageTitle } from "../../components/PageTitle";
import { useI18n } from "../../i18n";

/** All destinations. */
export default function Destinations() {
  const { t } = useI18n();
  return <PageTitle title={t("destinations.title")} />;
}
