import { PageTitle } from "../../components/PageTitle";
import { useI18n } from "../../i18n";

/** The workspace at a glance. */
export default function Home() {
  const { t } = useI18n();
  return <PageTitle title={t("home.title")} />;
}
